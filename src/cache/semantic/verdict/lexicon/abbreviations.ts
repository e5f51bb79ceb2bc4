// Short forms and irregular forms, each with what it stands for.

export const contractions = `
what's=what is|who's=who is|where's=where is|when's=when is|why's=why is|how's=how is|that's=that is|there's=there is|here's=here is|it's=it is|he's=he is|she's=she is|let's=let us|i'm=i am|i've=i have|i'd=i would|i'll=i will|you're=you are|you've=you have|you'd=you would|you'll=you will|we're=we are|we've=we have|we'd=we would|we'll=we will|they're=they are|they've=they have|they'd=they would|they'll=they will
can't=can not|cannot=can not|won't=will not|shan't=shall not|ain't=is not|dont=do not|doesnt=does not|didnt=did not|cant=can not|wont=will not|isnt=is not|arent=are not|wasnt=was not|wouldnt=would not|shouldnt=should not|couldnt=could not|havent=have not|hasnt=has not|im=i am|ive=i have|whats=what is|wheres=where is|whos=who is|hows=how is|thats=that is|theres=there is
gimme=give me|gotta=have to|gonna=going to|wanna=want to|lemme=let me|kinda=kind of|dunno=do not know|pls=please|plz=please|thx=thanks|u=you|ur=your|r=are|w/=with|w/o=without|b/c=because|bc=because|&=and|%=percent|vs=versus|e.g=for example|i.e=that is
`;

/** Truncations whose long form is not just a continuation, or whose short form is a word of its own. */
export const abbreviations = `
acct=account addr=address admin=administrator amt=amount app=application appt=appointment approx=approximately
apt=apartment asap=soon assoc=association asst=assistant attn=attention auth=authentication ave=avenue avg=average
bday=birthday bldg=building bio=biography blvd=boulevard cert=certificate co=company config=configuration
corp=corporation dept=department dev=development diff=difference dir=directory dist=distance doc=document
docs=documents est=estimated env=environment esp=especially etc=etcetera exam=examination fav=favorite freq=frequency
fridge=refrigerator func=function gov=government govt=government grad=graduate gym=gymnasium hq=headquarters hrs=hours
id=identification impl=implementation inc=incorporated incl=include info=information insp=inspection
intl=international intro=introduction jr=junior kg=kilogram lab=laboratory lang=language lb=pound lbs=pounds
lib=library lic=license mfg=manufacturing mgmt=management mgr=manager misc=miscellaneous mktg=marketing msg=message
mtg=meeting natl=national neg=negative nbr=number num=number org=organization orig=original oz=ounce param=parameter
params=parameters perf=performance perm=permission pic=picture pics=pictures pkg=package pls=please pos=position
pref=preference prep=preparation prev=previous prod=production prof=professor promo=promotion pw=password pwd=password
qty=quantity rec=recommendation ref=reference reg=registration rep=representative repo=repository req=request
res=reservation resp=response rm=room sched=schedule sec=second sept=september spec=specification specs=specifications
sqft=square std=standard stats=statistics sub=subscription temp=temperature temps=temperatures thru=through
tel=telephone tbsp=tablespoon tsp=teaspoon univ=university uni=university util=utility vac=vacation vaccs=vaccinations
val=value var=variable ver=version vet=veterinarian vol=volume wk=week wks=weeks yr=year yrs=years
`;

/** Irregular form = base. */
export const irregularForms = `
bought=buy brought=bring built=build broke=break broken=break began=begin begun=begin became=become came=come
caught=catch chose=choose chosen=choose cut=cut did=do done=do drew=draw drawn=draw drank=drink drunk=drink
drove=drive driven=drive ate=eat eaten=eat fell=fall fallen=fall felt=feel fought=fight found=find flew=fly flown=fly
forgot=forget forgotten=forget froze=freeze frozen=freeze got=get gotten=get gave=give given=give went=go gone=go
grew=grow grown=grow hid=hide hidden=hide held=hold kept=keep knew=know known=know laid=lay led=lead left=leave
lent=lend lost=lose made=make meant=mean met=meet paid=pay ran=run rose=rise risen=rise said=say sat=sit saw=see
seen=see sold=sell sent=send shook=shake shaken=shake shot=shoot shown=show shrank=shrink shrunk=shrink sang=sing
sung=sing slept=sleep spoke=speak spoken=speak spent=spend stood=stand stole=steal stolen=steal stuck=stick swam=swim
swum=swim taught=teach took=take taken=take told=tell thought=think threw=throw thrown=throw understood=understand
woke=wake woken=wake wore=wear worn=wear won=win wrote=write written=write withdrew=withdraw withdrawn=withdraw
men=man women=woman children=child people=person feet=foot teeth=tooth mice=mouse geese=goose lives=life wives=wife
knives=knife leaves=leaf halves=half loaves=loaf shelves=shelf wolves=wolf indices=index matrices=matrix
vertices=vertex criteria=criterion phenomena=phenomenon analyses=analysis
better=good best=best worse=bad worst=worst died=die dying=die lying=lie tying=tie colour=color favourite=favorite
centre=center theatre=theater organise=organize organisation=organization cancelled=cancel canceled=cancel
cancelling=cancel cancellation=cancel travelling=travel traveling=travel licence=license cheque=check tyre=tire
programme=program grey=gray jewellery=jewelry neighbour=neighbor behaviour=behavior labour=labor
height=high length=long width=wide depth=deep weight=weigh strength=strong speed=fast hottest=hot coldest=cold
`;
